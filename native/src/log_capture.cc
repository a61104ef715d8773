#include "log_capture.hh"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>

static thread_local std::string *sink = nullptr;
static thread_local LogCapture *current = nullptr;

static int append(enum libbpf_print_level level, const char *format, va_list arguments) {
  if (sink == nullptr || level == LIBBPF_DEBUG) return 0;
  va_list again;
  va_copy(again, arguments);
  const int length = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length <= 0) return 0;
  const size_t start = sink->size();
  sink->resize(start + length + 1);
  vsnprintf(sink->data() + start, length + 1, format, arguments);
  sink->resize(start + length);
  return length;
}

void LogCapture::install() { libbpf_set_print(append); }

LogCapture::LogCapture() : outer_(current) {
  current = this;
  sink = &text_;
}

LogCapture::~LogCapture() {
  current = outer_;
  sink = outer_ ? &outer_->text_ : nullptr;
}

#include "tc_attach.hh"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "async_task.hh"
#include "error.hh"
#include "netns.hh"

namespace {

/// A thread of libuv's pool in the network namespace of whoever asked, and back: the pool's threads stay where they were
/// started. Where that is the same one, as it mostly is, no privilege is needed.
class PoolNetns {
public:
  explicit PoolNetns(int wanted) {
    Fd before(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!before.valid()) {
      error_ = errno;
      return;
    }
    if (is_same(before.get(), wanted)) return;
    if (setns(wanted, CLONE_NEWNET) == 0)
      before_ = std::move(before);
    else
      error_ = errno;
  }
  ~PoolNetns() {
    if (!before_.valid() || setns(before_.get(), CLONE_NEWNET) == 0) return;
    std::fprintf(stderr, "selvedge-libbpf: cannot return to the former network namespace: %s\n", std::strerror(errno));
    std::abort();
  }
  PoolNetns(const PoolNetns &) = delete;

  int error() const { return error_; }

private:
  static bool is_same(int one, int other) {
    struct stat a {
    }, b{};
    return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
  }

  Fd before_;
  int error_ = 0;
};

class Attach : public AsyncTask {
public:
  Attach(Fd program, Fd netns, const AttachRequest &request)
      : program_(std::move(program)), netns_(std::move(netns)), place_(request.place), pin_path_(request.pin_path) {
    object_ = request.program + " at " + to_string(place_);
    if (!pin_path_.empty()) object_ += ", pinned at " + pin_path_;
  }

  void run() override {
    const PoolNetns scope(netns_.get());
    if (scope.error() != 0)
      result_ = {-scope.error(), "setns"};
    else
      result_ = pin_path_.empty() ? clsact_attach(program_.get(), place_) : attach_tcx();
    // Not only when JavaScript looks: a program that its owner has let go of must not live on with this.
    program_.reset();
    netns_.reset();
  }

  Napi::Value outcome(Napi::Env env) override {
    if (result_.error < 0) throw bpf_error(env, result_.error, result_.request, object_);
    napi_value undefined = nullptr; // the wrapper aborts in an environment that is ending
    napi_get_undefined(env, &undefined);
    return Napi::Value(env, undefined);
  }

private:
  StepResult attach_tcx() {
    const int attached = tcx_attach(program_.get(), place_.ifindex, place_.hook);
    if (attached < 0) return {attached, "BPF_LINK_CREATE"};
    const Fd link(attached); // without a pin the attachment ends with it
    return {bpf_obj_pin(link.get(), pin_path_.c_str()), "BPF_OBJ_PIN"};
  }

  Fd program_, netns_;
  ClsactPlace place_;
  std::string pin_path_, object_;
  StepResult result_{};
};

} // namespace

Napi::Value attach_task(Napi::Env env, const AttachRequest &request) {
  Fd program(checked_errno(env, fcntl(request.program_fd, F_DUPFD_CLOEXEC, 0), "fcntl", request.program));
  return start_task(env, "attachTc", std::make_unique<Attach>(std::move(program), open_current_netns(env), request));
}

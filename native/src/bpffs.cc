#include "bpffs.hh"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include "bytes.hh"
#include "error.hh"

static Napi::Value is_bpffs(const Napi::CallbackInfo &info) {
  const std::string path = string_of(info[0]);
  struct statfs status {};
  const int result = statfs(path.c_str(), &status);
  if (result < 0 && (errno == ENOENT || errno == ENOTDIR)) return Napi::Boolean::New(info.Env(), false);
  checked_errno(info.Env(), result, "statfs", path);
  return Napi::Boolean::New(info.Env(), status.f_type == BPF_FS_MAGIC);
}

static void mount_bpffs(const Napi::CallbackInfo &info) {
  const std::string path = string_of(info[0]);
  const int result = mount("bpf", path.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700");
  checked_errno(info.Env(), result, "mount", "bpffs at " + path);
}

void define_bpffs(Napi::Env env, Napi::Object exports) {
  exports["isBpffs"] = Napi::Function::New(env, is_bpffs);
  exports["mountBpffs"] = Napi::Function::New(env, mount_bpffs);
}

// One ELF object with BPF programs, from its parsing to its loading.
#pragma once

#include <bpf/libbpf.h>
#include <napi.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "fd.hh"

class Object : public Napi::ObjectWrap<Object> {
public:
  static void define(Napi::Env env, Napi::Object exports);
  explicit Object(const Napi::CallbackInfo &info);

private:
  struct Close {
    void operator()(bpf_object *object) const { bpf_object__close(object); }
  };

  Napi::Value types(const Napi::CallbackInfo &info);
  Napi::Value maps(const Napi::CallbackInfo &info);
  Napi::Value programs(const Napi::CallbackInfo &info);
  Napi::Value section_bytes(const Napi::CallbackInfo &info);
  void set_section_bytes(const Napi::CallbackInfo &info);
  void set_max_entries(const Napi::CallbackInfo &info);
  void set_inner_max_entries(const Napi::CallbackInfo &info);
  void set_map_flags(const Napi::CallbackInfo &info);
  void reuse_map(const Napi::CallbackInfo &info);
  void set_autoload(const Napi::CallbackInfo &info);
  void load(const Napi::CallbackInfo &info);
  Napi::Value map(const Napi::CallbackInfo &info);
  Napi::Value program(const Napi::CallbackInfo &info);
  void close(const Napi::CallbackInfo &info);

  std::vector<Fd> replace_inner_prototypes(Napi::Env env);
  bpf_map &find_map(const Napi::Value &name) const;
  bpf_program &find_program(const Napi::Value &name) const;
  void check_set(Napi::Env env, int result, const char *function, const bpf_map &map) const;

  std::string path_;
  /// Map-in-map -> entries of its inner maps, where they are not as declared.
  std::unordered_map<std::string, uint32_t> inner_max_entries_;
  std::unique_ptr<bpf_object, Close> object_;
};

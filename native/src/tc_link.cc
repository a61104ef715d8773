#include "tc_link.hh"

#include <bpf/bpf.h>

#include "addon.hh"
#include "bytes.hh"
#include "error.hh"
#include "netns.hh"
#include "program.hh"
#include "tc_attach.hh"

void TcLink::define(Napi::Env env, Napi::Object exports) {
  const Napi::Function constructor = DefineClass(env, "TcLink",
                                                 {
                                                     StaticMethod<&TcLink::attach_tcx>("attachTcx"),
                                                     StaticMethod<&TcLink::attach_clsact>("attachClsact"),
                                                     StaticMethod<&TcLink::attach_in_background>("attachInBackground"),
                                                     StaticMethod<&TcLink::open_pinned>("openPinned"),
                                                     StaticMethod<&TcLink::open_clsact>("openClsact"),
                                                     StaticMethod<&TcLink::detach_clsact>("detachClsact"),
                                                     StaticMethod<&TcLink::list>("list"),
                                                     InstanceMethod<&TcLink::info>("info"),
                                                     InstanceMethod<&TcLink::pin>("pin"),
                                                     InstanceMethod<&TcLink::update>("update"),
                                                     InstanceMethod<&TcLink::detach>("detach"),
                                                     InstanceMethod<&TcLink::close>("close"),
                                                 });
  Addon::of(env).tc_link_class = Napi::Persistent(constructor);
  exports["TcLink"] = constructor;
}

TcLink::TcLink(const Napi::CallbackInfo &info) : Napi::ObjectWrap<TcLink>(info) {
  auto &init = construction_argument<Init>(info);
  link_ = std::move(init.link);
  place_ = init.place;
  netns_ = std::move(init.netns);
  label_ = init.label;
}

static TcHook hook_of(const Napi::Value &direction) {
  return string_of(direction) == "ingress" ? TcHook::kIngress : TcHook::kEgress;
}

static const char *name_of(TcHook hook) { return hook == TcHook::kIngress ? "ingress" : "egress"; }

static ClsactPlace place_of(const Napi::CallbackInfo &info, size_t first) {
  return {int(uint32_of(info[first])), hook_of(info[first + 1]), uint32_of(info[first + 2]),
          uint32_of(info[first + 3])};
}

// attachTcx(program, ifindex, direction, path of a pin or '')
Napi::Value TcLink::attach_tcx(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const Program &program = Program::unwrap(info[0]);
  const int ifindex = int(uint32_of(info[1]));
  const TcHook hook = hook_of(info[2]);
  const std::string pin_path = string_of(info[3]);
  Init init{};
  init.label = std::string("tc ") + name_of(hook) + " of interface " + std::to_string(ifindex);
  const std::string object = program.label() + " at " + init.label;
  init.link = Fd(checked(env, tcx_attach(program.fd(), ifindex, hook), "BPF_LINK_CREATE", object));
  if (!pin_path.empty()) {
    checked(env, bpf_obj_pin(init.link.get(), pin_path.c_str()), "BPF_OBJ_PIN", init.label + " at " + pin_path);
  }
  return construct(Addon::of(env).tc_link_class, init);
}

// attachClsact(program, ifindex, direction, priority, handle)
Napi::Value TcLink::attach_clsact(const Napi::CallbackInfo &info) {
  Init init{};
  init.place = place_of(info, 1);
  init.netns = open_current_netns(info.Env());
  init.label = to_string(init.place);
  const StepResult result = clsact_attach(Program::unwrap(info[0]).fd(), init.place);
  checked(info.Env(), result.error, result.request ? result.request : "", init.label);
  init.label = to_string(init.place);
  return construct(Addon::of(info.Env()).tc_link_class, init);
}

// attachInBackground(program, ifindex, direction, priority, handle, path of a pin for tcx or '' for clsact)
Napi::Value TcLink::attach_in_background(const Napi::CallbackInfo &info) {
  const Program &program = Program::unwrap(info[0]);
  return attach_task(info.Env(), {program.fd(), program.label(), place_of(info, 1), string_of(info[5])});
}

Napi::Value TcLink::open_pinned(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const std::string path = string_of(info[0]);
  Init init{};
  init.link = Fd(checked(env, bpf_obj_get(path.c_str()), "BPF_OBJ_GET", path));
  TcxLinkInfo details{};
  checked(env, tcx_link_info(init.link.get(), details), "BPF_OBJ_GET_INFO_BY_FD", path + " (is it a tcx link?)");
  init.label = "tc link " + path;
  return construct(Addon::of(env).tc_link_class, init);
}

// openClsact(ifindex, direction, priority, handle)
Napi::Value TcLink::open_clsact(const Napi::CallbackInfo &info) {
  Init init{};
  init.place = place_of(info, 0);
  init.netns = open_current_netns(info.Env());
  init.label = to_string(init.place);
  clsact_program_id(info.Env(), init.place);
  return construct(Addon::of(info.Env()).tc_link_class, init);
}

// detachClsact(ifindex, direction, priority, handle)
Napi::Value TcLink::detach_clsact(const Napi::CallbackInfo &info) {
  return Napi::Boolean::New(info.Env(), clsact_detach(info.Env(), place_of(info, 0)));
}

// list(ifindex, direction)
Napi::Value TcLink::list(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const int ifindex = int(uint32_of(info[0]));
  const TcHook hook = hook_of(info[1]);
  auto result = Napi::Array::New(env);
  std::vector<TcxAttached> links;
  checked(env, tcx_query(ifindex, hook, links), "BPF_PROG_QUERY", "interface " + std::to_string(ifindex));
  for (const TcxAttached &link : links) {
    auto one = Napi::Object::New(env);
    one["mode"] = Napi::String::New(env, "tcx");
    one["programId"] = Napi::Number::New(env, link.program_id);
    one["linkId"] = Napi::Number::New(env, link.link_id);
    result[result.Length()] = one;
  }
  for (const ClsactAttached &filter : clsact_list(env, ifindex, hook)) {
    auto one = Napi::Object::New(env);
    one["mode"] = Napi::String::New(env, "clsact");
    one["programId"] = Napi::Number::New(env, filter.program_id);
    one["priority"] = Napi::Number::New(env, filter.priority);
    one["handle"] = Napi::Number::New(env, filter.handle);
    one["name"] = Napi::String::New(env, filter.name);
    result[result.Length()] = one;
  }
  return result;
}

Napi::Value TcLink::info(const Napi::CallbackInfo &call) {
  const Napi::Env env = call.Env();
  auto result = Napi::Object::New(env);
  const auto number = [&](const char *name, double value) { result[name] = Napi::Number::New(env, value); };
  if (is_tcx()) {
    TcxLinkInfo details{};
    checked(env, tcx_link_info(link_.get(), details), "BPF_OBJ_GET_INFO_BY_FD", label_);
    result["mode"] = Napi::String::New(env, "tcx");
    result["direction"] = Napi::String::New(env, name_of(details.hook));
    number("ifindex", details.ifindex);
    number("programId", details.program_id);
    number("linkId", details.link_id);
  } else {
    const NetnsScope scope(env, netns_.get(), label_);
    result["mode"] = Napi::String::New(env, "clsact");
    result["direction"] = Napi::String::New(env, name_of(place_.hook));
    number("ifindex", place_.ifindex);
    number("programId", clsact_program_id(env, place_));
    number("priority", place_.priority);
    number("handle", place_.handle);
  }
  return result;
}

void TcLink::pin(const Napi::CallbackInfo &info) {
  const std::string path = string_of(info[0]);
  if (!is_tcx()) throw bpf_error(info.Env(), EOPNOTSUPP, "BPF_OBJ_PIN", label_ + " (a clsact filter has no pin)");
  checked(info.Env(), bpf_obj_pin(link_.get(), path.c_str()), "BPF_OBJ_PIN", label_ + " at " + path);
}

void TcLink::update(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  const int program_fd = Program::unwrap(info[0]).fd();
  if (is_tcx()) {
    checked(env, bpf_link_update(link_.get(), program_fd, nullptr), "BPF_LINK_UPDATE", label_);
  } else {
    const NetnsScope scope(env, netns_.get(), label_);
    clsact_update(env, program_fd, place_);
  }
}

void TcLink::detach(const Napi::CallbackInfo &info) {
  const Napi::Env env = info.Env();
  if (is_tcx()) {
    const int result = bpf_link_detach(link_.get());
    if (result != -ENOLINK) checked(env, result, "BPF_LINK_DETACH", label_); // ENOLINK: it is detached already
  } else {
    const NetnsScope scope(env, netns_.get(), label_);
    clsact_detach(env, place_);
  }
}

void TcLink::close(const Napi::CallbackInfo &) {
  link_.reset();
  netns_.reset();
}

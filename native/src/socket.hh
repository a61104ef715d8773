// Sockets as plain file descriptors, made in the calling thread's network namespace.
#pragma once

#include <napi.h>

void define_socket(Napi::Env env, Napi::Object exports);

/// Waits for something to read. Returns false when nothing came in time.
bool wait_readable(Napi::Env env, int fd, int timeout_ms, const std::string &label);

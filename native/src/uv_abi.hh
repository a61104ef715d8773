// The few functions of libuv's stable 1.x ABI that are used here; node exports them, node-api-headers does not declare them.
#pragma once

#include <cstddef>

extern "C" {
struct uv_loop_s;
struct uv_handle_s;
struct uv_poll_s;

constexpr int UV_POLL = 8;     // uv_handle_type
constexpr int UV_READABLE = 1; // uv_poll_event

size_t uv_handle_size(int type);
void uv_handle_set_data(uv_handle_s *handle, void *data);
void *uv_handle_get_data(const uv_handle_s *handle);
int uv_poll_init(uv_loop_s *loop, uv_poll_s *handle, int fd);
int uv_poll_start(uv_poll_s *handle, int events, void (*callback)(uv_poll_s *handle, int status, int events));
int uv_poll_stop(uv_poll_s *handle);
void uv_close(uv_handle_s *handle, void (*callback)(uv_handle_s *handle));
void uv_ref(uv_handle_s *handle);
void uv_unref(uv_handle_s *handle);
}

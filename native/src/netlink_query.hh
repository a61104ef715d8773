// Links and addresses: netlink messages as JavaScript objects, and the questions that get them.
#pragma once

#include <linux/netlink.h>
#include <napi.h>

/// Undefined for messages that are no link (bridge ports come as such) or address.
Napi::Value link_to_object(Napi::Env env, const nlmsghdr &message);
Napi::Value address_to_object(Napi::Env env, const nlmsghdr &message);

void define_netlink_query(Napi::Env env, Napi::Object exports);

// Batches of inner maps, put into a map of maps or taken out of it while JavaScript goes on.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "fd.hh"
#include "map_elements.hh"

struct InnerBatch {
  /// Of the outer map; `fd` is `outer`, which the batch owns.
  MapShape shape;
  Fd outer;
  std::string label;
  std::vector<uint8_t> keys;
  /// Also owned; none to delete the keys.
  std::vector<Fd> inners;
  uint32_t count;
};

/// A promise: undefined once all are in, or how many there were to delete. The kernel waits for a grace period.
Napi::Value set_inner_batch(Napi::Env env, InnerBatch batch);
Napi::Value delete_inner_batch(Napi::Env env, InnerBatch batch);

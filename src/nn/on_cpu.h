// For host code that computes in f64, which a GPU does not.
#pragma once
#include "sinew/device.h"

namespace sinew {

struct OnCpu {  // for a scope
  OnCpu() { set_device(Device::cpu); }
  ~OnCpu() { set_device(former); }
  OnCpu(const OnCpu&) = delete;
  OnCpu& operator=(const OnCpu&) = delete;
  Device former = device();
};

}  // namespace sinew

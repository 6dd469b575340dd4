// From the ABI's view of an operator to a kernel, and a kernel's launch. Called by device.cpp inside its exception
// guard.
#pragma once
#include "plugins/cpu/device.h"

namespace vks::cpu {

vks_status query(vks_device& device, const vks_op& op, vks_support& support, vks_error* error);
vks_status prepare(vks_device& device, const vks_op& op, std::unique_ptr<vks_kernel>& kernel, vks_error* error);
vks_status launch(vks_stream& stream, const vks_kernel& kernel, const vks_tensor* given, uint64_t count,
                  const vks_tensor* scratch, vks_error* error);

// The address of a tensor's first element, or null and a line in `error` if its buffer doesn't hold it.
std::byte* locate(const vks_device& device, const vks_tensor& tensor, const char* what, vks_error* error);

}  // namespace vks::cpu

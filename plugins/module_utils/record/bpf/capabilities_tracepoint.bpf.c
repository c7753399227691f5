// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Capability checks by the kernel's tracepoint (6.14 and newer). It does not tell which ones are audited. */
#include "capabilities.h"

SEC("raw_tp/cap_capable")
int BPF_PROG(on_check, const struct cred *cred, struct user_namespace *target, struct user_namespace *owner,
	     int capability, int result)
{
	return result ? 0 : record_capability(cred, target, capability);
}

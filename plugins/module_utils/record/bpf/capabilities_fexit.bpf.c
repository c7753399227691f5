// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Capability checks at the end of the kernel's function, where it has no tracepoint for them (before 6.14). */
#include "capabilities.h"

#define CAP_OPT_NOAUDIT 2

SEC("fexit/cap_capable")
int BPF_PROG(on_check, const struct cred *cred, struct user_namespace *target, int capability, unsigned int options,
	     int result)
{
	return result || options & CAP_OPT_NOAUDIT ? 0 : record_capability(cred, target, capability);
}

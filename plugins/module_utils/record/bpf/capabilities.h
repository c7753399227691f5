/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Capability checks that were granted. */
#pragma once
#include "record.h"

struct capability_key {
	struct who who;
	__s32 nr; /* of the system call; below 0: in none */
	__u8 capability;
	__u8 phase;
	__u8 kind;
	__u8 level; /* of the user namespace that was asked about: 0 is the host's */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct capability_key);
	__type(value, __u64);
} capabilities SEC(".maps");

static __always_inline int record_capability(const struct cred *cred, struct user_namespace *target, int capability)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	void *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct capability_key key = {};
	struct config *settings;
	bool runtime = false;
	__u64 one = 1, *count;

	settings = recorded(task, &key.who, &runtime);
	/* Other credentials are those of a file system that acts for itself (overlayfs). */
	if (!settings || runtime || cred != BPF_CORE_READ(task, real_cred))
		return 0;
	if (bpf_core_field_exists(struct pt_regs___x86, orig_ax))
		key.nr = BPF_CORE_READ((struct pt_regs___x86 *)regs, orig_ax);
	else
		key.nr = BPF_CORE_READ((struct pt_regs___arm64 *)regs, syscallno);
	key.kind = key.nr < 0 ? NATIVE : call_kind(task, key.nr);
	if (key.nr >= 0)
		key.nr &= ~X32;
	key.capability = capability;
	key.phase = settings->phase;
	key.level = BPF_CORE_READ(target, level);
	count = bpf_map_lookup_elem(&capabilities, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else if (bpf_map_update_elem(&capabilities, &key, &one, BPF_ANY))
		lose(LOST_CAPABILITIES);
	return 0;
}

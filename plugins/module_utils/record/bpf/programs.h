/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tells the programs of a container from the runtime: they are executed in its cgroup. */
#pragma once
#include "record.h"

/* Whether a file is executed as a runtime executes itself: by a descriptor, whatever it is called. */
static __always_inline bool is_itself(const char *path)
{
	char start[8] = {};

	bpf_probe_read_kernel_str(start, sizeof(start), path);
	return (start[1] == 'p' && start[2] == 'r' && start[3] == 'o' && start[4] == 'c' && start[5] == '/' &&
		start[6] == 's') || /* /proc/self/exe, /proc/self/fd/6 */
	       (start[1] == 'd' && start[2] == 'e' && start[3] == 'v' && start[4] == '/' && start[5] == 'f' &&
		start[6] == 'd'); /* /dev/fd/6, as the kernel calls it */
}

/* To be called first where a program was executed. */
static __always_inline void mark_program(struct task_struct *task, struct linux_binprm *program)
{
	if (!is_wanted(task, bpf_get_current_cgroup_id()))
		return;
	/* Behind the filter a runtime does not execute itself. */
	if (BPF_CORE_READ(task, seccomp.mode) != MODE_FILTER && is_itself(BPF_CORE_READ(program, filename)))
		return;
	if (!bpf_task_storage_get(&programs, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE))
		lose(LOST_EXECS);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	if (bpf_task_storage_get(&programs, parent, 0, 0) &&
	    !bpf_task_storage_get(&programs, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE))
		lose(LOST_EXECS);
	return 0;
}

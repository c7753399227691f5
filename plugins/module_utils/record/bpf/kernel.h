/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is used of the kernel's types. Offsets are relocated on each host to those of its kernel (CO-RE), so that
 * only names and nesting count here, and one object serves every kernel and architecture. */
#pragma once

typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;

enum { false, true };
enum { BPF_ANY, BPF_NOEXIST };
enum { BPF_F_NO_PREALLOC = 1, BPF_LOCAL_STORAGE_GET_F_CREATE = 1 };
enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_ARRAY = 6, BPF_MAP_TYPE_LRU_HASH = 9, BPF_MAP_TYPE_TASK_STORAGE = 29 };

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct user_namespace {
	int level;
};
struct cred {
	struct user_namespace *user_ns;
};
struct seccomp {
	int mode;
};
struct kernfs_node {
	const char *name;
};
struct cgroup {
	struct kernfs_node *kn;
};
struct css_set {
	struct cgroup *dfl_cgrp;
};
struct task_struct {
	struct seccomp seccomp;
	struct css_set *cgroups;
	const struct cred *real_cred;
	const struct cred *cred;
};
struct dentry;
struct path {
	struct dentry *dentry;
};
struct inode {
	unsigned short i_mode;
};
struct file {
	struct path f_path;
	struct inode *f_inode;
	unsigned int f_mode;
	unsigned int f_flags;
};
struct linux_binprm {
	const char *filename;
	const char *interp;
};

/* The registers of a program, by architecture; what follows ___ is no part of the name in the kernel. */
struct pt_regs___x86 {
	unsigned long bx, cx, di, si, orig_ax;
};
struct pt_regs___arm64 {
	unsigned long regs[31];
	unsigned long orig_x0;
	__s32 syscallno;
};
/* Marks of a 32-bit program: x86 has them in `status`, arm64 in `flags`. */
struct thread_info___x86 {
	unsigned long flags;
	__u32 status;
};
struct thread_info___arm64 {
	unsigned long flags;
};
struct task_struct___x86 {
	struct thread_info___x86 thread_info;
};
struct task_struct___arm64 {
	struct thread_info___arm64 thread_info;
};

#pragma clang attribute pop

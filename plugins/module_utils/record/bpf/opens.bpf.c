// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Files and folders that programs have opened to read, and which programs have opened files to write or execute. */
#include "record.h"

#define PATH 256
#define FMODE_READ 1
#define FMODE_WRITE 2
#define FMODE_EXEC 0x20 /* in f_flags: to execute it */
#define TYPE 0170000
#define FOLDER 0040000

struct read_key {
	__u8 slot;
	__u8 folder;
	__u8 unused[6];
	char path[PATH];
};
struct use_key {
	char comm[16];
	__u8 slot;
	__u8 unused[7];
	char path[PATH];
};
/* How a file was used; the phases are a bit each. */
struct use {
	__u32 written;
	__u32 executed;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct read_key);
	__type(value, __u8);
} reads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct use_key);
	__type(value, struct use);
} uses SEC(".maps");

/* What is too large for the stack. */
struct open_room {
	struct read_key read;
	struct use_key use;
	char path[PATH];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct open_room);
} open_rooms SEC(".maps");

static const struct use unused_file;

static __always_inline void count_read(struct open_room *room, __u8 slot, bool folder)
{
	__u8 one = 1;

	/* Behind the end of the path the kernel leaves other text. */
	__builtin_memset(&room->read, 0, sizeof(room->read));
	bpf_probe_read_kernel_str(room->read.path, PATH, room->path);
	room->read.slot = slot;
	room->read.folder = folder;
	if (!bpf_map_lookup_elem(&reads, &room->read) && bpf_map_update_elem(&reads, &room->read, &one, BPF_ANY))
		lose(LOST_READS);
}

static __always_inline void count_use(struct open_room *room, __u8 slot, const char *comm, __u32 phase, bool executed)
{
	struct use *known;

	__builtin_memset(&room->use, 0, sizeof(room->use));
	bpf_probe_read_kernel_str(room->use.path, PATH, room->path);
	__builtin_memcpy(room->use.comm, comm, sizeof(room->use.comm));
	room->use.slot = slot;
	known = bpf_map_lookup_elem(&uses, &room->use);
	if (!known) {
		bpf_map_update_elem(&uses, &room->use, &unused_file, BPF_NOEXIST);
		known = bpf_map_lookup_elem(&uses, &room->use);
	}
	if (known)
		__sync_fetch_and_or(executed ? &known->executed : &known->written, 1U << (phase & 31));
	else
		lose(LOST_USES);
}

SEC("fexit/security_file_open")
int BPF_PROG(on_open, struct file *file, int result)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 mode = BPF_CORE_READ(file, f_mode), zero = 0;
	bool executed = BPF_CORE_READ(file, f_flags) & FMODE_EXEC;
	struct config *settings;
	struct open_room *room;
	struct who who = {};
	bool runtime = false;
	__u8 *known, slot;

	if (result || !(mode & (FMODE_READ | FMODE_WRITE)))
		return 0;
	settings = recorded(task, &who, &runtime);
	if (!settings || runtime)
		return 0;
	/* With other credentials a file system opens its own files (overlayfs). */
	if (BPF_CORE_READ(task, cred) != BPF_CORE_READ(task, real_cred))
		return 0;
	room = bpf_map_lookup_elem(&open_rooms, &zero);
	known = bpf_map_lookup_elem(&cgroups, &who.cgroup);
	if (!room || !known)
		return 0;
	slot = *known;
	if (bpf_d_path(&file->f_path, room->path, PATH) < 0) {
		if (mode & FMODE_READ)
			lose(LOST_READS);
		if (mode & FMODE_WRITE || executed)
			lose(LOST_USES);
		return 0;
	}
	if (room->path[0] != '/') /* a pipe has no path */
		return 0;
	if (mode & FMODE_READ)
		count_read(room, slot, (BPF_CORE_READ(file, f_inode, i_mode) & TYPE) == FOLDER);
	if (mode & FMODE_WRITE || executed)
		count_use(room, slot, who.comm, settings->phase, executed);
	return 0;
}

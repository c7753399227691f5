// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Files and folders that programs have opened: how, by which program, in which phases. */
#include "record.h"

#define PATH 256
#define FMODE_READ 1
#define FMODE_WRITE 2
#define FMODE_EXEC 0x20 /* in f_flags: to execute it */
#define TYPE 0170000
#define FOLDER 0040000

struct open_key {
	char comm[16];
	__u8 slot;
	__u8 folder;
	__u8 how;
	__u8 unused[5];
	char path[PATH];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct open_key);
	__type(value, __u32); /* phases, a bit each */
} opens SEC(".maps");

/* What is too large for the stack. */
struct open_room {
	struct open_key key;
	char path[PATH];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct open_room);
} open_rooms SEC(".maps");

SEC("fexit/security_file_open")
int BPF_PROG(on_open, struct file *file, int result)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct config *settings;
	struct open_room *room;
	struct who who = {};
	bool runtime = false;
	__u32 zero = 0;
	__u8 *slot;

	if (result)
		return 0;
	settings = recorded(task, &who, &runtime);
	if (!settings || runtime)
		return 0;
	/* With other credentials a file system opens its own files (overlayfs). */
	if (BPF_CORE_READ(task, cred) != BPF_CORE_READ(task, real_cred))
		return 0;
	room = bpf_map_lookup_elem(&open_rooms, &zero);
	if (!room)
		return 0;
	if (bpf_d_path(&file->f_path, room->path, PATH) < 0) {
		lose(LOST_OPENS);
		return 0;
	}
	slot = bpf_map_lookup_elem(&cgroups, &who.cgroup);
	if (room->path[0] != '/' || !slot) /* a pipe has no path */
		return 0;
	/* Behind the end of the path the kernel leaves other text. */
	__builtin_memset(&room->key, 0, sizeof(room->key));
	bpf_probe_read_kernel_str(room->key.path, PATH, room->path);
	__builtin_memcpy(room->key.comm, who.comm, sizeof(who.comm));
	room->key.slot = *slot;
	room->key.folder = (BPF_CORE_READ(file, f_inode, i_mode) & TYPE) == FOLDER;
	room->key.how = BPF_CORE_READ(file, f_mode) & (FMODE_READ | FMODE_WRITE);
	room->key.how |= BPF_CORE_READ(file, f_flags) & FMODE_EXEC;
	mark(&opens, &room->key, settings->phase, LOST_OPENS);
	return 0;
}

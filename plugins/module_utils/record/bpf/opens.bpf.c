// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Files and folders that programs have opened to read. */
#include "record.h"

#define PATH 256
#define FMODE_READ 1
#define TYPE 0170000
#define FOLDER 0040000

struct open_key {
	__u8 slot;
	__u8 folder;
	__u8 unused[6];
	char path[PATH];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct open_key);
	__type(value, __u8);
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
	struct open_room *room;
	struct who who = {};
	bool runtime = false;
	__u32 zero = 0;
	__u8 one = 1, *slot;

	if (result || !(BPF_CORE_READ(file, f_mode) & FMODE_READ) || !recorded(task, &who, &runtime) || runtime)
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
	room->key.slot = *slot;
	room->key.folder = (BPF_CORE_READ(file, f_inode, i_mode) & TYPE) == FOLDER;
	if (!bpf_map_lookup_elem(&opens, &room->key) && bpf_map_update_elem(&opens, &room->key, &one, BPF_ANY))
		lose(LOST_OPENS);
	return 0;
}

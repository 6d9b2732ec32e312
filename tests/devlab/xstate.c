/* For ./run: User Mode Linux 6.12 puts back 2696 bytes of a process's extended processor state, and processors with more of it
 * (AMX: 11 KB) take all or nothing: "ptrace set fp regs failed". What it does not know of is put back in its initial state, in
 * which it is anyhow: no process of the guest may use AMX. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char whole[1 << 16] __attribute__((aligned(64)));
static size_t size;

long ptrace(enum __ptrace_request request, ...) {
  va_list more;
  va_start(more, request);
  pid_t pid = va_arg(more, pid_t);
  void *address = va_arg(more, void *);
  void *data = va_arg(more, void *);
  va_end(more);
  if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
    /* the system call, other than the library's function, writes the word to where data points */
    long word;
    if (syscall(SYS_ptrace, request, pid, address, &word) < 0) return -1;
    errno = 0;
    return word;
  }
  struct iovec *state = data;
  if (request == PTRACE_SETREGSET && (long)address == NT_X86_XSTATE) {
    if (size == 0) {
      struct iovec all = {whole, sizeof whole};
      if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, address, &all) == 0) size = all.iov_len;
      memset(whole, 0, sizeof whole);
    }
    if (state->iov_len < size) {
      memcpy(whole, state->iov_base, state->iov_len);
      struct iovec all = {whole, size};
      return syscall(SYS_ptrace, request, pid, address, &all);
    }
  }
  return syscall(SYS_ptrace, request, pid, address, data);
}

# The first process of a sandbox on x86-64; init.py holds these instructions as bytes and says why.
# Every signal is blocked when it starts. Descriptor 3 takes the wait status of process 2.
    .intel_syntax noprefix
    .globl _start
_start:
    sub     rsp, 16
reap:
    mov     eax, 61             # wait4(-1, &status, WNOHANG, NULL)
    mov     rdi, -1
    mov     rsi, rsp
    mov     edx, 1
    xor     r10d, r10d
    syscall
    test    eax, eax
    jle     wait                # none has ended
    cmp     eax, 2
    jne     reap                # an orphan
    mov     eax, 1              # write(3, &status, 4)
    mov     edi, 3
    mov     rsi, rsp
    mov     edx, 4
    syscall
    mov     eax, 231            # exit_group(0): the kernel kills all others
    xor     edi, edi
    syscall
wait:
    mov     eax, 128            # rt_sigtimedwait(&every, NULL, NULL, 8)
    mov     qword ptr [rsp + 8], -1
    lea     rdi, [rsp + 8]
    xor     esi, esi
    xor     edx, edx
    mov     r10d, 8
    syscall
    mov     esi, 15             # SIGTERM: SIGTERM to all
    cmp     eax, 15
    je      all
    mov     esi, 19             # SIGUSR1: SIGSTOP to all
    cmp     eax, 10
    je      all
    mov     esi, 18             # SIGUSR2: SIGCONT to all
    cmp     eax, 12
    je      all
    jmp     reap
all:
    mov     eax, 62             # kill(-1, signal): every process of the sandbox but this one
    mov     rdi, -1
    syscall
    jmp     reap

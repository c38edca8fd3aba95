// The first process of a sandbox on aarch64; init.py holds these instructions as bytes and says why.
// Every signal is blocked when it starts. Descriptor 3 takes the wait status of process 2.
    .globl _start
_start:
    sub     sp, sp, #16
reap:
    mov     x8, #260            // wait4(-1, &status, WNOHANG, NULL)
    mov     x0, #-1
    mov     x1, sp
    mov     x2, #1
    mov     x3, #0
    svc     #0
    cmp     w0, #0
    b.le    wait                // none has ended
    cmp     w0, #2
    b.ne    reap                // an orphan
    mov     x8, #64             // write(3, &status, 4)
    mov     x0, #3
    mov     x1, sp
    mov     x2, #4
    svc     #0
    mov     x8, #94             // exit_group(0): the kernel kills all others
    mov     x0, #0
    svc     #0
wait:
    mov     x8, #137            // rt_sigtimedwait(&every, NULL, NULL, 8)
    mov     x0, #-1
    str     x0, [sp, #8]
    add     x0, sp, #8
    mov     x1, #0
    mov     x2, #0
    mov     x3, #8
    svc     #0
    mov     x1, #15             // SIGTERM: SIGTERM to all
    cmp     w0, #15
    b.eq    all
    mov     x1, #19             // SIGUSR1: SIGSTOP to all
    cmp     w0, #10
    b.eq    all
    mov     x1, #18             // SIGUSR2: SIGCONT to all
    cmp     w0, #12
    b.eq    all
    b       reap
all:
    mov     x8, #129            // kill(-1, signal): every process of the sandbox but this one
    mov     x0, #-1
    svc     #0
    b       reap

# long batch(struct call *calls, long count, long first)
# on x86-64; batch.py holds these instructions as bytes and says why. A call is ten words: its
# number, six arguments, how its result is judged, and two more that depend on that: places to
# write its result to, or 0. `first` is the number of the first call. Nothing here writes to the
# stack between two calls: for a while two processes have the same one.
    .intel_syntax noprefix
    push    rbx
    push    r12
    push    r13
    mov     rbx, rdi            # the next call
    mov     r13, rdx            # its number
    lea     r12, [rdx + rsi]    # that of the first that is not made any more
next:
    cmp     r13, r12
    je      done
again:
    mov     rax, [rbx]
    mov     rdi, [rbx + 8]
    mov     rsi, [rbx + 16]
    mov     rdx, [rbx + 24]
    mov     r10, [rbx + 32]
    mov     r8, [rbx + 40]
    mov     r9, [rbx + 48]
    syscall
    mov     rcx, [rbx + 56]
    cmp     rcx, 1              # may fail
    je      keep
    cmp     rcx, 5              # is made again until it fails
    jne     must
    test    rax, rax
    jns     again
    jmp     after
must:
    test    rax, rax
    js      failed
    cmp     rcx, 6              # goes on with other calls
    je      turn
    cmp     rcx, 4              # makes the second process
    je      part
    test    rax, rax
    jz      keep
    cmp     rcx, 2              # must give 0
    je      failed
    cmp     rcx, 3              # whoever gets more than 0 leaves with that
    je      out
keep:
    mov     rcx, [rbx + 64]
    test    rcx, rcx
    jz      other
    mov     [rcx], rax
other:
    mov     rcx, [rbx + 72]
    test    rcx, rcx
    jz      after
    mov     [rcx], rax
after:
    add     rbx, 80
    inc     r13
    jmp     next
part:
    test    rax, rax
    jz      second
    cmp     rax, 2
    je      after
    mov     rax, -10            # ECHILD: not the second process of its namespace
    jmp     failed
second:
    mov     rcx, [rbx + 64]     # it leaves out so many
    add     r13, rcx
    imul    rcx, rcx, 80
    add     rbx, rcx
    jmp     after
turn:
    test    rax, rax
    mov     rdx, -32            # EPIPE: there are none
    cmovz   rax, rdx
    jz      failed
    mov     rcx, [rbx + 72]     # where their count is
    mov     r12d, [rcx]
    mov     rbx, [rbx + 64]
    xor     r13d, r13d
    jmp     next
failed:                         # its number, counted from 1, above that of its error
    lea     rdx, [r13 + 1]
    shl     rdx, 32
    neg     rax
    mov     eax, eax
    or      rax, rdx
    jmp     out
done:
    xor     eax, eax
out:
    pop     r13
    pop     r12
    pop     rbx
    ret

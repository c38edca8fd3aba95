# long batch(struct call *calls, long count)
# on x86-64; batch.py holds these instructions as bytes and says why. A call is ten words: its
# number, six arguments, how its result is judged, and two places to write its result to, or 0.
    .intel_syntax noprefix
    push    rbx
    push    r12
    push    r13
    mov     rbx, rdi            # the next call
    mov     r12, rsi            # how many there are
    xor     r13d, r13d          # how many are done
next:
    cmp     r13, r12
    je      done
    mov     rax, [rbx]
    mov     rdi, [rbx + 8]
    mov     rsi, [rbx + 16]
    mov     rdx, [rbx + 24]
    mov     r10, [rbx + 32]
    mov     r8, [rbx + 40]
    mov     r9, [rbx + 48]
    syscall
    mov     rcx, [rbx + 56]     # 0: may not fail; 1: may; 2: must give 0
    cmp     rcx, 1
    je      keep
    test    rax, rax
    js      failed
    jz      keep
    cmp     rcx, 2
    je      failed
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
failed:                         # its place, counted from 1, above the number of its error
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

# int part(int program, int status, char *const words[3], int awaited, int held)
# on x86-64; parting.py holds these instructions as bytes and says why. After the clone both
# processes have the same stack: neither writes to it until the other is gone.
    .intel_syntax noprefix
    push    rbx
    push    r12
    push    r13
    push    r14
    push    r15
    mov     r12d, edi           # the program
    mov     r13d, esi           # what becomes its descriptor 3
    mov     r14, rdx            # an empty path, its arguments, its environment
    mov     r15d, ecx           # ends when the other one has executed the program
    mov     ebx, r8d            # and the end of it that is held until then
    mov     eax, 56             # clone(CLONE_VM | SIGCHLD, NULL, NULL, NULL, 0)
    mov     edi, 0x111
    xor     esi, esi
    xor     edx, edx
    xor     r10d, r10d
    xor     r8d, r8d
    syscall
    test    eax, eax
    jz      child
    cmp     eax, 2
    jne     done                # an error, or not the second process of its namespace
    mov     eax, 292            # dup3(status, 3, 0)
    mov     edi, r13d
    mov     esi, 3
    xor     edx, edx
    syscall
    test    eax, eax
    js      done
    mov     eax, 3              # close(0), close(1), close(2)
    xor     edi, edi
    syscall
    mov     eax, 3
    mov     edi, 1
    syscall
    mov     eax, 3
    mov     edi, 2
    syscall
    mov     eax, 322            # execveat(program, "", arguments, environment, AT_EMPTY_PATH)
    mov     edi, r12d
    mov     rsi, [r14]
    mov     rdx, [r14 + 8]
    mov     r10, [r14 + 16]
    mov     r8d, 0x1000
    syscall
    jmp     done
child:
    mov     eax, 3              # close(held)
    mov     edi, ebx
    syscall
    xor     eax, eax            # read(awaited, words, 1): nothing is ever written
    mov     edi, r15d
    mov     rsi, r14
    mov     edx, 1
    syscall
    mov     eax, 3              # close(awaited)
    mov     edi, r15d
    syscall
    xor     eax, eax
done:
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     rbx
    ret

// MIMCTL_CLONES before a function: one copy of it for AVX2 and one for any x86-64, chosen when the library is loaded.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MIMCTL_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define MIMCTL_CLONES
#endif

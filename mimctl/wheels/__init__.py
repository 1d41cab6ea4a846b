"""Build wheels from wheels-matrix.yaml, read them as untrusted data, audit what their libraries need.

May import `settings`, `config`, `errors` and below; compilers, pip and CMake are child processes.
"""

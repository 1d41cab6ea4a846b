"""One file an operator: schema, typed function, pure-PyTorch twin, fake kernel, gradients, and the module around it."""

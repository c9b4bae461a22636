"""How kernels are initialised."""

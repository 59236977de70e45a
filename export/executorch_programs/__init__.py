"""A traced program as a .pte file, in the forms that ExecuTorch's kernels run rightly and fast."""

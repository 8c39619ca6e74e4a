"""The NVIDIA backend: targets, host programs and the launcher; kernels come by way of `backends.triton`."""

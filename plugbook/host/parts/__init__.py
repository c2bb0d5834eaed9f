"""What a host can be asked and told, a part a file; `Host` is put together from them."""

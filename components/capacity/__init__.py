"""What a size of gallery and of traffic needs: accelerators, cores, memory, disk and network."""

"""What lives inside the vendor's product: the client, its cache, its adapters."""

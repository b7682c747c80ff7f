"""The server: published answers on one customer, product or cart, in milliseconds, over HTTP."""

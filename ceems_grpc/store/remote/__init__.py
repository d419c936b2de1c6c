"""How to reach a `ceems-grpc server` on another host, and how to say what is in the way."""

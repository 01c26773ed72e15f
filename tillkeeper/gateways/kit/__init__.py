"""The tools that gateways share: strict readers of JSON, XML and forms, signatures, certificates, times and amounts."""

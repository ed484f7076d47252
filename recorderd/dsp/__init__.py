"""What the line says, from its audio: block detectors in numpy, without any input or output."""

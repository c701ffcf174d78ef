"""The GSNet detector: any searched backbone under a Ghost-PAN, with its training, its data and its evaluation."""

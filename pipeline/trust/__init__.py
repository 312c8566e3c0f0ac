"""How far labels can be trusted: audited samples, calibration, and what people should look at."""

"""Arrays in, arrays out: decoding, resampling, cropping, filters, hashes and phantoms."""

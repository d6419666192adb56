"""Pictures as pixels: decoded safely, hashed, compared, made small."""

"""Quality, time and bytes by the settings of the generator, so that an owner can choose by them."""

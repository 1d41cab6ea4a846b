"""What two toolboxes need of vision: layers, backbones, necks, losses, structures, transforms, drawing."""

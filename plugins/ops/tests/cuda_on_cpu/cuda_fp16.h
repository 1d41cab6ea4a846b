// A stand-in for the header of CUDA: nothing of it is needed here.
#pragma once

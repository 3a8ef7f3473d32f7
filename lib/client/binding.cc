#include "client/binding.h"

#include "client/turn_session.h"

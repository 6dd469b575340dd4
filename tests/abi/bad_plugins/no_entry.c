/* A library with a plugin's file name that isn't one. */
int vks_nothing_here = 1;

// The workgroup's number, counted over x and y: the host spreads many groups over both (Encoder::spread).
#ifndef VKS_GROUP
#define VKS_GROUP
layout(local_size_x_id = 0) in;

uint group_index() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }
#endif

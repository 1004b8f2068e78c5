add_library(usermod_triangle INTERFACE)
target_sources(usermod_triangle INTERFACE ${CMAKE_CURRENT_LIST_DIR}/triangle.c)
target_include_directories(usermod_triangle INTERFACE ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(usermod INTERFACE usermod_triangle)

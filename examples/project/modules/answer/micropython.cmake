add_library(usermod_answer INTERFACE)
target_sources(usermod_answer INTERFACE ${CMAKE_CURRENT_LIST_DIR}/answer.c)
target_include_directories(usermod_answer INTERFACE ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(usermod INTERFACE usermod_answer)

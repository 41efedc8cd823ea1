// Runs cv::dnn_objdetect::InferBbox on the tensors in a file. One call for each line on standard input, so that run.py
// can take turns with it; answers with the microseconds of the call and what it found.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <opencv2/core_detect.hpp>

int main(int argc, char** argv) {
    const int bbox[] = {23, 23, 36}, conf[] = {23, 23, 9};
    cv::Mat deltas(3, bbox, CV_32F), classes(4761, 20, CV_32F), confidence(3, conf, CV_32F);
    std::ifstream file(argc > 2 ? argv[1] : "", std::ios::binary);
    for (cv::Mat* tensor : {&deltas, &classes, &confidence})
        file.read(reinterpret_cast<char*>(tensor->data), tensor->total() * sizeof(float));
    if (!file) return std::fprintf(stderr, "usage: main TENSORS THRESHOLD\n"), 1;
    while (std::getchar() == '\n') {
        const auto start = std::chrono::steady_clock::now();
        cv::dnn_objdetect::InferBbox infer(deltas, classes, confidence);
        infer.filter(std::atof(argv[2]));
        const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - start;
        std::printf("%.3f", taken.count());
        for (const auto& o : infer.detections)
            std::printf(" %d,%d,%d,%d,%zu,%.17g", o.xmin, o.xmax, o.ymin, o.ymax, o.class_idx, o.class_prob);
        std::puts(""), std::fflush(stdout);
    }
}

// A model of ours in a program written for the 2017 SqueezeDet: Caffe importer, three layers, InferBbox.
//
//   python -m export caffe CHECKPOINT --infer-bbox --out model.caffemodel
//   detect_infer_bbox model.prototxt model.caffemodel photo.jpg [THRESHOLD [ANNOTATED.png]]
//
// Prints a line for each object: label, probability, x1, y1, x2, y2 in pixels of the photo.
// Exit codes: 0 done, 2 bad input.

#include <opencv2/core_detect.hpp>
#include <opencv2/dnn.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

// InferBbox has these built in.
const int SIZE = 416, CELLS = 23, SHAPES = 9, CLASSES = 20;

static int fail(const std::string& message)
{
    std::cerr << "detect_infer_bbox: " << message << "\n";
    return 2;
}

int main(int argc, char** argv)
{
    if (argc < 4 || argc > 6)
        return fail("usage: detect_infer_bbox PROTOTXT CAFFEMODEL PHOTO [THRESHOLD [ANNOTATED.png]]");
    const std::string prototxt = argv[1], caffemodel = argv[2], photo = argv[3];
    double threshold = 0.3;
    if (argc > 4)
    {
        char* end = nullptr;
        threshold = std::strtod(argv[4], &end);
        if (end == argv[4] || *end || !(threshold >= 0 && threshold <= 1))
            return fail(std::string(argv[4]) + ": the threshold must be a number from 0 to 1");
    }

    cv::dnn::Net net;
    try
    {
        net = cv::dnn::readNetFromCaffe(prototxt, caffemodel);
    }
    catch (const cv::Exception&)
    {
        return fail(prototxt + ", " + caffemodel + ": OpenCV cannot read them as a Caffe net");
    }
    cv::Mat image = cv::imread(photo);
    if (image.empty())
        return fail(photo + ": no picture that OpenCV can read");

    // Shrunk by more than two, a photo is averaged along the axes that shrink: linear interpolation would skip pixels.
    const double shrink = std::max(image.cols, image.rows) / double(SIZE);
    cv::Mat input = image;
    if (shrink > 2)
        cv::resize(image, input, cv::Size(std::min(image.cols, SIZE), std::min(image.rows, SIZE)), 0, 0, cv::INTER_AREA);
    cv::resize(input, input, cv::Size(SIZE, SIZE), 0, 0, cv::INTER_LINEAR);
    net.setInput(cv::dnn::blobFromImage(input, 1.0, cv::Size(), cv::Scalar(104, 117, 123)));

    std::vector<std::vector<cv::Mat>> tops;
    try
    {
        net.forward(tops, std::vector<cv::String>{"slice", "softmax", "sigmoid"});
    }
    catch (const cv::Exception&)  // it has no such layers, or is made for another input size
    {
        tops.clear();
    }
    if (tops.size() != 3 || tops[0].size() != 3 || tops[0][2].total() != size_t(CELLS * CELLS * SHAPES * 4)
        || tops[1][0].total() != size_t(CELLS * CELLS * SHAPES * CLASSES)
        || tops[2][0].total() != size_t(CELLS * CELLS * SHAPES))
        return fail(caffemodel + ": not a model of python -m export caffe --infer-bbox");
    const int deltaShape[] = {CELLS, CELLS, SHAPES * 4};
    const int classShape[] = {CELLS * CELLS * SHAPES, CLASSES};
    const int confidenceShape[] = {CELLS, CELLS, SHAPES};
    cv::Mat deltas(3, deltaShape, CV_32F, tops[0][2].ptr<float>());
    cv::Mat classScores(2, classShape, CV_32F, tops[1][0].ptr<float>());
    cv::Mat confidence(3, confidenceShape, CV_32F, tops[2][0].ptr<float>());

    cv::dnn_objdetect::InferBbox infer(deltas, classScores, confidence);
    infer.filter(threshold);

    const double toX = image.cols / double(SIZE), toY = image.rows / double(SIZE);
    for (const cv::dnn_objdetect::object& found : infer.detections)
    {
        const cv::Rect2d box(cv::Point2d(found.xmin * toX, found.ymin * toY),
                             cv::Point2d(found.xmax * toX, found.ymax * toY));
        std::printf("%s %.4f %.1f %.1f %.1f %.1f\n", found.label_name.c_str(), found.class_prob, box.x, box.y,
                    box.x + box.width, box.y + box.height);
        cv::rectangle(image, box, cv::Scalar(0, 200, 0), 2);
        cv::putText(image, found.label_name, cv::Point(int(box.x) + 4, int(box.y) + 18), cv::FONT_HERSHEY_SIMPLEX, 0.6,
                    cv::Scalar(0, 200, 0), 2, cv::LINE_AA);
    }
    if (argc == 6 && !cv::imwrite(argv[5], image))
        return fail(std::string(argv[5]) + ": cannot write");
    return 0;
}

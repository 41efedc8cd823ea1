// Detection in plain OpenCV, 4.x or 5.x, with the `decoded` ONNX export: boxes and scores come out of the network.
//
//   python -m export onnx CHECKPOINT --head decoded --out model.onnx      (writes model.json as well)
//   detect_onnx model.onnx model.json photo.jpg [THRESHOLD [ANNOTATED.png]]
//
// Prints a line for each object: label, score, x1, y1, x2, y2 in pixels of the photo.
// Exit codes: 0 done, 2 bad input.

#include <opencv2/dnn.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

const float NMS_IOU = 0.4f;

// What the model's JSON says of its input and its classes.
struct Spec
{
    cv::Size size;
    cv::Scalar meanBgr;
    double scale;
    bool rgb;
    std::vector<std::string> labels;
};

static int fail(const std::string& message)
{
    std::cerr << "detect_onnx: " << message << "\n";
    return 2;
}

static bool readSpec(const std::string& path, Spec& spec)
{
    cv::FileStorage file;
    try
    {
        file.open(path, cv::FileStorage::READ | cv::FileStorage::FORMAT_JSON);
    }
    catch (const cv::Exception&)
    {
        return false;
    }
    if (!file.isOpened() || file["sqdet_spec"].empty())
        return false;
    const cv::FileNode size = file["input_wh"], mean = file["mean_bgr"];
    spec.size = cv::Size(int(size[0]), int(size[1]));
    spec.meanBgr = cv::Scalar(double(mean[0]), double(mean[1]), double(mean[2]));
    spec.scale = double(file["scale"]);
    spec.rgb = int(file["rgb"]) != 0;
    file["labels"] >> spec.labels;
    return spec.size.area() > 0 && !spec.labels.empty();
}

int main(int argc, char** argv)
{
    if (argc < 4 || argc > 6)
        return fail("usage: detect_onnx MODEL.onnx MODEL.json PHOTO [THRESHOLD [ANNOTATED.png]]");
    const std::string model = argv[1], json = argv[2], photo = argv[3];
    float threshold = 0.3f;
    if (argc > 4)
    {
        char* end = nullptr;
        threshold = std::strtof(argv[4], &end);
        if (end == argv[4] || *end || !(threshold >= 0 && threshold <= 1))
            return fail(std::string(argv[4]) + ": the threshold must be a number from 0 to 1");
    }
    Spec spec;
    if (!readSpec(json, spec))
        return fail(json + ": not the JSON that python -m export onnx writes beside a model");
    cv::dnn::Net net;
    try
    {
        net = cv::dnn::readNetFromONNX(model);
    }
    catch (const cv::Exception&)
    {
        return fail(model + ": OpenCV " CV_VERSION " cannot read it as ONNX; a model of ours needs 4.10 or newer");
    }
    cv::Mat image = cv::imread(photo);
    if (image.empty())
        return fail(photo + ": no picture that OpenCV can read");

    // Shrunk by more than two, a photo is averaged along the axes that shrink: linear interpolation would skip pixels.
    const double shrink = std::max(image.cols / double(spec.size.width), image.rows / double(spec.size.height));
    const cv::Size small(std::min(image.cols, spec.size.width), std::min(image.rows, spec.size.height));
    cv::Mat input = image;
    if (shrink > 2)
        cv::resize(image, input, small, 0, 0, cv::INTER_AREA);
    cv::resize(input, input, spec.size, 0, 0, cv::INTER_LINEAR);
    // OpenCV swaps the channels before it subtracts
    const cv::Scalar& bgr = spec.meanBgr;
    const cv::Scalar mean = spec.rgb ? cv::Scalar(bgr[2], bgr[1], bgr[0]) : bgr;
    net.setInput(cv::dnn::blobFromImage(input, spec.scale, cv::Size(), mean, spec.rgb));
    std::vector<cv::Mat> outputs;
    try
    {
        net.forward(outputs, std::vector<cv::String>{"boxes_xyxy", "scores"});
    }
    catch (const cv::Exception&)
    {
        return fail(model + ": not a model of python -m export onnx --head decoded");
    }

    const int anchors = outputs[1].size[1], classes = outputs[1].size[2];
    if (classes != int(spec.labels.size()))
        return fail(json + ": not the JSON of " + model);
    const double toX = image.cols / double(spec.size.width), toY = image.rows / double(spec.size.height);
    std::vector<cv::Rect2d> boxes, apart;  // apart: each class in a place of its own, so that none suppresses another
    std::vector<float> scores;
    std::vector<int> ids;
    for (int anchor = 0; anchor < anchors; anchor++)
    {
        const float* box = outputs[0].ptr<float>() + anchor * 4;
        const float* row = outputs[1].ptr<float>() + anchor * classes;
        for (int id = 0; id < classes; id++)
        {
            if (row[id] <= threshold)
                continue;
            const cv::Rect2d whole(cv::Point2d(box[0] * toX, box[1] * toY), cv::Point2d(box[2] * toX, box[3] * toY));
            boxes.push_back(whole & cv::Rect2d(0, 0, image.cols, image.rows));
            apart.push_back(boxes.back() + cv::Point2d(double(id) * image.cols, 0));
            scores.push_back(row[id]);
            ids.push_back(id);
        }
    }
    std::vector<int> kept;
    cv::dnn::NMSBoxes(apart, scores, threshold, NMS_IOU, kept);  // best first

    for (int i : kept)
    {
        const cv::Rect2d& box = boxes[i];
        const std::string& label = spec.labels[ids[i]];
        std::printf("%s %.4f %.1f %.1f %.1f %.1f\n", label.c_str(), scores[i], box.x, box.y, box.x + box.width,
                    box.y + box.height);
        cv::rectangle(image, box, cv::Scalar(0, 200, 0), 2);
        cv::putText(image, label, cv::Point(int(box.x) + 4, int(box.y) + 18), cv::FONT_HERSHEY_SIMPLEX, 0.6,
                    cv::Scalar(0, 200, 0), 2, cv::LINE_AA);
    }
    if (argc == 6 && !cv::imwrite(argv[5], image))
        return fail(std::string(argv[5]) + ": cannot write");
    return 0;
}
